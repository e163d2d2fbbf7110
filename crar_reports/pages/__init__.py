"""One module or folder for each page, named as its command."""
