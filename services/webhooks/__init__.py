"""Events pushed to producers' URLs: a reader of the log with a place in it for each webhook."""
