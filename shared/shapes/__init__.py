"""What producers read of our rows, the same in answers of the API and in webhooks."""
