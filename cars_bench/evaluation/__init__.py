"""How right a model is, how sure that is, and where it is wrong. Pure numpy, no Keras."""
