"""Sets of numbers, exact, and the automata of their JSON texts."""
