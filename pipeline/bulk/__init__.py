"""``ner annotate --to``: the entities of a large collection, in shards, by several processes or on Spark."""
