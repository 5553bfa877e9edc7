listen{ connect = print }
