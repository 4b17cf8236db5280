"""What any service needs to live: settings, logs, a life cycle, ids, batching."""
