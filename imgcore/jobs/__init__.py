"""Jobs as a whole: made of requests, chosen, read, told of, checked, removed."""
