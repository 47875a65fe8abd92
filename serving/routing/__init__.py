"""Which backend answers a request: router, queue, micro-batches, reconciler, shadow."""
