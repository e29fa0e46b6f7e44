"""How do commands speak to people: in which words, on which terminal, and how does a mistake end one?"""
