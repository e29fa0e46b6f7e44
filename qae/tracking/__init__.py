"""What does W&B take, what do its switches say, and which steps has it?"""
