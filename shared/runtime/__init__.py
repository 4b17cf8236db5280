"""What any service needs to live: settings, logs, a life cycle, health, metrics, ids, batching."""
