"""Plain text: its tokens and sentences, the form that models read, and its language."""
