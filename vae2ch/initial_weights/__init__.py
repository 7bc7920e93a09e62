"""Initial weights of a VAE, from the sounds that it is trained on or from another model."""
