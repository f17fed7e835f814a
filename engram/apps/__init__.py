"""Applications: a model put to one use, in the words of those who use it; found by being here."""
