"""What can be said without training anything: closed forms for one layer, and how a gradient field bends."""
