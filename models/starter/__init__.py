"""What ships: the starter cast, the demo sound and its truth."""
