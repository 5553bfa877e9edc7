print("no listener")
