"""What is found in events: judging the past again."""
