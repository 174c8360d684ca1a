"""What a loss costs, against the frameworks' own plain losses. Run from the repository root; see README.md here."""
