"""House-keeping: what `ner gc` deletes, `ner backup` and `ner restore`, and `ner upgrade`."""
