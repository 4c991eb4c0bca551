"""A folder with an exported detector and a page that runs it in a browser, without a network."""
