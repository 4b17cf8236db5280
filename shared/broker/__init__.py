"""The only AMQP: which queues there are, what travels in them, links that survive the broker."""
