return {
  fail = function(x)
    return x.field -- x is nil
  end
}
