"""What we believe: what a score is worth, how three opinions become one verdict, how verdicts become incidents. Pure."""
