"""Kafka to the ODS and the lake: every record exactly once in each.

A record's identity is (topic, epoch, partition, offset). `consumer` reads, `decoding` judges,
`sinks` land; `verify` compares the three copies; `batches` cuts what has landed for the insights.
"""
