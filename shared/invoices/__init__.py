"""Invoices on paper: their words in German and English, and the pages they stand on."""
