-- Equal load: each connection waits a random time around a mean, given in milliseconds after "--".
local mean = 4
function init(arguments)
  mean = tonumber(arguments[1]) or 4
  math.randomseed(42)
end
function delay()
  return math.random(0, 2 * mean)
end
