-- A citation after a Chinese character, or alone on a Chinese page, has brackets and semicolons as wide as the letters,
-- and no spaces around it.
local LETTER = "[\227-\233][\128-\191][\128-\191]"
local WIDE = LETTER .. "$"

local function is_space(inline)
  return inline and (inline.t == "Space" or inline.t == "SoftBreak")
end

local function widened(cite)
  local content = pandoc.List()
  for _, inline in ipairs(cite.content) do
    if inline.t == "Str" then
      inline.text = inline.text:gsub("^%(", "（"):gsub("%)$", "）"):gsub(";$", "；")
    end
    local last = content[#content]
    if not (is_space(inline) and last and last.t == "Str" and last.text:find("；$")) then
      content:insert(inline)
    end
  end
  cite.content = content
  return cite
end

local function inside(inlines)
  for place = #inlines, 2, -1 do
    local gap = is_space(inlines[place - 1]) and 1 or 0
    local before = inlines[place - 1 - gap]
    if inlines[place].t == "Cite" and before and before.t == "Str" and before.text:find(WIDE) then
      inlines[place] = widened(inlines[place])
      if is_space(inlines[place + 1]) then
        inlines:remove(place + 1)
      end
      if gap == 1 then
        inlines:remove(place - 1)
      end
    end
  end
  return inlines
end

function Pandoc(doc)
  doc = doc:walk({ Inlines = inside })
  -- The first block is the title.
  if not pandoc.utils.stringify(doc.blocks[1]):find(LETTER) then
    return doc
  end
  return doc:walk({
    Plain = function(cell)
      if #cell.content == 1 and cell.content[1].t == "Cite" then
        cell.content[1] = widened(cell.content[1])
        return cell
      end
    end,
  })
end
