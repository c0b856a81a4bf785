"""What users tell about themselves: profiles and saved places."""
