"""The language models of the lab, one file each."""
