"""Where records land. Each sink has its own next offset for each partition."""
