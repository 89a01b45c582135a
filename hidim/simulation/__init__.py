"""The algorithms themselves, run many times: mean risk with error bars."""
