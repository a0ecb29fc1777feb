"""What a study shows, whatever it trained: accuracy beside cost, and what seeds and images leave open."""
