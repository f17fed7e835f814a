"""Applications: a model put to one use, in the user's words."""
