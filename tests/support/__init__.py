"""What tests share: fakes, wire clients, the corpus and real servers."""
