-- Every request has a path and a cookie that no request had before.
local count = 0
math.randomseed(os.time())
function request()
  count = count + 1
  local path = "/item/" .. math.random(100000, 999999) .. count
  return wrk.format("GET", path, { ["Cookie"] = "session=" .. math.random(1, 2147483647) .. count })
end
