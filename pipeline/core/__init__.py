"""What everything else is built on: documents, labels, files, errors, locks, progress."""
