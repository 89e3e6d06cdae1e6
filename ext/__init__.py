"""The compiled traffic path: one noun a file."""
