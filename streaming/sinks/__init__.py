"""Where records land. Each sink keeps its own next offset for each partition, and drops what lies below."""
