"""What does an update take from its batch: K of the balance, bounds of the clip, what the clip does?"""
