"""One file a step, named by its revision; never edited once released."""
