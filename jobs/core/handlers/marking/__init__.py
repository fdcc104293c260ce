"""What marks the user's functions and classes: the decorators, and the marks that they leave."""
