"""One model, one file: its hyper-parameters, turns and terms. A file that registers a model is found by its being here."""
