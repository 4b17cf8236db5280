"""The Mailjet-shaped API's face: sends, lists, counts and exports, as its clients know them."""
