"""ingest takes requests in, dispatcher hands segments to carriers, dlr takes receipts in.

They never import each other; they meet in PostgreSQL and RabbitMQ. `__main__` may import them all.
"""
