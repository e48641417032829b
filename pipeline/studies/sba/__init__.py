"""Banks that lend to small firms under the guarantee of the US Small Business Administration."""
