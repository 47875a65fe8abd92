# The studies themselves are tried by the tests.
ner search --help
