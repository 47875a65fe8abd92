"""Documents of many pages: the text of a file, read in a process of its own, and long texts in parts."""
