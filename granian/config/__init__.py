"""The operator's side: every option once, where its value came from, and the plan made of it."""
