"""The human study: what people find sufficient and trustworthy, asked blind and analysed as planned."""
