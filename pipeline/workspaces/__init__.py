"""A working copy for each task, so that workers on several machines need no common folder.

A run's state is in the object store (``NER_STORE``): the commit, the ``.dvc`` pointers and dvc.lock that it began with,
and what each of its stages has added to dvc.lock. A task clones the repository at that commit, puts the state in place,
works, stores its part, and removes the copy. The outputs themselves go through DVC's remote.
"""
