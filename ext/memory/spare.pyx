"""The lists of freed blocks; see spare.pxd."""
